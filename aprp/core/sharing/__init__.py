"""What several workers count together, and what they tell each other."""
