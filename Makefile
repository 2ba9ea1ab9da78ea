# These commands do all the set-up on Debian or Ubuntu with Python 3.11 or newer:
#   make demo    the daemon with embedded mirrors; it prints the URL to open
#   make test    all tests, then ruff and mypy
#   make deb     a Debian package, in dist/; make deb-try tries it in a fresh Debian
#   make fuzz    the property tests with new examples, for SECONDS
#   make simulation    the whole daemon on a simulated network: SEEDS=100000, SEED=7 for one again

PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 300
SEEDS ?= 10000
VENV := .venv
BIN := $(VENV)/bin
# "compat" puts the checkout itself on the path, which is where Twisted looks for plugins.
EDITABLE := install --quiet --config-settings editable_mode=compat --editable
METADATA := pyproject.toml setup.py

.PHONY: demo picture test check fuzz simulation bench soak clip clean reference deb deb-try

demo: $(VENV)/.installed
	$(BIN)/twistd -n --pidfile= aprp --demo --port $(PORT)

test: $(VENV)/.developing
	$(BIN)/python -m twisted.trial $(or $(TESTS),tests)
	$(MAKE) --no-print-directory check

check: $(VENV)/.developing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Examples that fail are kept in .hypothesis and tried first the next time.
fuzz: $(VENV)/.developing
	$(BIN)/python -m tests.support.explore --seconds $(SECONDS) $(TESTS)

simulation: $(VENV)/.developing
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) --shrink,--seeds $(SEEDS))

bench: $(VENV)/.developing
	$(BIN)/python -m benchmarks

soak: $(VENV)/.developing
	$(BIN)/python -m benchmarks.soak

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "aprp needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python can't make virtual environments here; as root: apt install python3-venv" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python $(METADATA)
	$(BIN)/python -m pip $(EDITABLE) .
	@touch $@

$(VENV)/.developing: $(VENV)/bin/python $(METADATA)
	$(BIN)/python -m pip $(EDITABLE) '.[dev]'
	@touch $@ $(VENV)/.installed

# The demonstration's clip: two minutes of drifting colors, the time, and a beep each second. A key
# frame each second makes seeking quick; the index at the start lets it play before it is there.
# Needs the font of Debian's package fonts-dejavu-core.
clip:
	ffmpeg -hide_banner -nostdin -loglevel error -y \
	  -f lavfi -i "gradients=size=640x360:rate=24:duration=120:speed=0.015:nb_colors=4:type=linear\
	:c0=0x0b1d4d:c1=0x1f5fc4:c2=0x117a6b:c3=0x4a2a86:x0=0:y0=60:x1=640:y1=300" \
	  -f lavfi -i sine=frequency=220:beep_factor=4:sample_rate=44100:duration=120,volume=0.2 \
	  -vf "drawtext=fontfile=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fontsize=120\
	:text='%{eif\:t/60\:d}\:%{eif\:mod(t\,60)\:d\:2}':fontcolor=white:x=(w-tw)/2:y=(h-th)/2" \
	  -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact \
	  -c:v libx264 -profile:v baseline -level 3.0 -pix_fmt yuv420p -preset slow -threads 1 \
	  -crf 24 -maxrate 400k -bufsize 800k -g 24 -c:a aac -b:a 48k -ac 1 \
	  -movflags +faststart $(or $(OUT),aprp/demo/clip.mp4)

# The picture in README.md, of the demonstration; needs Chromium.
picture: $(VENV)/.developing
	$(BIN)/python -m tests.support.demo_picture docs/demo.png

# Manual pages and completions, made from the parsers and the settings.
reference: $(VENV)/.developing
	$(BIN)/python -m reference

# For the Debian or Ubuntu release that this runs on.
deb:
	deb/build

# As root: installs it in a fresh Debian, starts, upgrades, removes and purges it.
deb-try:
	deb/try.sh

# What `make fuzz` found stays: .hypothesis.
clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache
