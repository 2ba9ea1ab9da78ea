// What the public suite has gained and corrected since the version that is installed by name: cases
// with the same ids, written for the same engine, in place of those that it has. Interim responses
// need a newer server of the suite; tests/test_cached_upstream.py has them.

const FRESH = 3600
const first = (headers, more = {}) => ({
  response_headers: headers, setup: true, pause_after: true, ...more
})
const reused = { expected_type: 'cached' }
const fetched = { expected_type: 'not_cached' }
const once = (id, kind, headers, then) => ({ id, name: id, kind, requests: [first(headers), then] })
const cdn = value => ['CDN-Cache-Control', value, false]
const cc = value => ['Cache-Control', value]
const NOW = ['Date', 0]

const old = ['2147483647', '2147483648', '2147483649']
const age = ['age-parse-large-minus-one', 'age-parse-large', 'age-parse-larger'].map((id, nth) =>
  once(id, 'required', [NOW, cc(`max-age=${FRESH}`), ['Age', old[nth], false]], fetched))

const ignored = {
  nonnumeric: ['abc'],
  negative: ['-7200'],
  float: ['7200.0'],
  'prefix-twoline': ['0', '7200'],
  'dup-0': ['0, 0'],
  'dup-0-twoline': ['0', '0'],
  'dup-old': ['3600', '3600']
}
for (const [id, values] of Object.entries(ignored)) {
  const lines = values.map(value => ['Age', value, false])
  age.push(once(`age-parse-${id}`, 'required', [NOW, cc('max-age=10000'), ...lines], reused))
}

const freshness = [
  once('freshness-max-age-stale', 'required', [cc('max-age=2'), NOW], fetched)
]

const shadowed = (id, value) => ({
  id,
  name: id,
  kind: 'required',
  requests: [
    first([cc('max-age=10000'), ['Expires', 10000], NOW, ['A', '1']]),
    first([cc(value), NOW, ['A', '2']], { setup: false }),
    { ...reused, expected_response_headers: [['a', '1']] }
  ]
})
const response = [
  shadowed('cc-resp-no-store-old-new', 'no-store'),
  shadowed('cc-resp-no-store-old-max-age', 'no-store, max-age=0'),
  once('status-200-must-understand', 'optimal',
    [cc(`max-age=${FRESH}, no-store, must-understand`), NOW], reused)
]

const stale = [
  once('stale-while-revalidate', 'optimal',
    [cc('max-age=1, stale-while-revalidate=3600'), ['ETag', '"abc"']], reused),
  {
    id: 'stale-while-revalidate-window',
    name: 'stale-while-revalidate-window',
    kind: 'required',
    requests: [
      first([cc('max-age=1, stale-while-revalidate=4'), ['ETag', '"abc"']]),
      first([['Cache-Control', 'no-cache', false], ['ETag', '"def"', false]], reused),
      { expected_response_headers: [['client-request-count', '3']] }
    ]
  }
]

for (const directive of ['must-revalidate', 'proxy-revalidate', 'no-cache', 's-maxage=2']) {
  stale.push(once(`stale-close-${directive}`, 'required', [cc(`max-age=2, ${directive}`)], {
    disconnect: true,
    expected_status: 502,
    check_body: false,
    expected_response_headers_missing: ['server-request-count']
  }))
}

const dates = [
  once('other-date-update-expires', 'required', [['Expires', 30 * 86400], NOW],
    { ...reused, expected_response_headers: [['Date', 0]] }),
  once('other-date-update-expires-update', 'check', [['Expires', 30 * 86400], NOW],
    { ...reused, expected_response_headers: [['Expires', 30 * 86400]] })
]

const targeted = [
  once('cdn-max-age', 'optimal', [cdn(`max-age=${FRESH}`)], reused),
  once('cdn-max-age-max', 'optimal', [cdn('max-age=2147483648')], reused),
  once('cdn-max-age-max-plus', 'optimal', [cdn('max-age=99999999999')], reused),
  once('cdn-max-age-age', 'required', [NOW, cdn(`max-age=${FRESH}`), ['Age', '7200']], fetched),
  once('cdn-max-age-space-before-equals', 'check', [cc('max-age=1'), cdn('max-age =100')], fetched),
  once('cdn-max-age-space-after-equals', 'check', [cc('max-age=1'), cdn('max-age= 100')], fetched),
  once('cdn-max-age-0', 'required', [cdn('max-age=0')], fetched),
  once('cdn-max-age-extension', 'optimal', [cdn(`foobar, max-age=${FRESH}`)], reused),
  once('cdn-max-age-case-insensitive', 'check', [cdn(`MaX-aGe=${FRESH}`)], reused),
  once('cdn-max-age-expires', 'optimal',
    [cdn(`max-age=${FRESH}`), ['Expires', -10000], NOW], reused),
  once('cdn-max-age-cc-max-age-invalid-expires', 'optimal',
    [cdn(`max-age=${FRESH}`), ['Expires', '0', false], NOW], reused),
  once('cdn-max-age-0-expires', 'required', [cdn('max-age=0'), ['Expires', 10000], NOW], fetched),
  once('cdn-max-age-short-cc-max-age', 'optimal',
    [cc('max-age=1'), cdn(`max-age=${FRESH}`)], reused),
  once('cdn-max-age-long-cc-max-age', 'required',
    [cc(`max-age=${FRESH}`), cdn('max-age=1')], fetched),
  once('cdn-private', 'required',
    [cdn('private'), cc('max-age=10000'), ['Expires', 10000], NOW], fetched),
  once('cdn-no-cache', 'required',
    [cdn('no-cache'), cc('max-age=10000'), ['Expires', 10000], NOW], fetched),
  once('cdn-no-store-cc-fresh', 'required',
    [cc('max-age=10000'), cdn('no-store'), ['Expires', 10000], NOW], fetched),
  once('cdn-fresh-cc-nostore', 'required', [cc('no-store'), cdn('max-age=10000')], reused),
  once('cdn-cc-invalid-sh-type-unknown', 'required',
    [cdn('max-age=10000, &&&&&'), cc('no-store')], fetched),
  once('cdn-cc-invalid-sh-type-wrong', 'required',
    [cdn('max-age="10000"'), cc('no-store')], fetched),
  {
    id: 'cdn-remove-header',
    name: 'cdn-remove-header',
    kind: 'check',
    requests: [{
      response_headers: [cc('max-age=10000'), cdn('foo'), ['Expires', 10000], NOW],
      expected_response_headers: [['CDN-Cache-Control', 'foo']]
    }]
  },
  once('cdn-remove-age-exceed', 'check', [cc('max-age=1'), cdn('max-age=10000'), NOW],
    { expected_response_headers: ['Age'] }),
  once('cdn-date-update-exceed', 'check', [cc('max-age=1'), cdn('max-age=10000'), NOW],
    { expected_response_headers: [['Date', 0]] }),
  once('cdn-expires-update-exceed', 'check',
    [cc('max-age=1'), ['Expires', 1], cdn('max-age=10000'), NOW],
    { expected_response_headers: [['Expires', 1]] })
]

// Cases that only look at what a cache does.
export const onlyLookedAt = new Set([
  'age-parse-parameter',
  'age-parse-numeric-parameter',
  ...['Content-MD5', 'Content-Range', 'ETag', 'Set-Cookie', 'Set-Cookie2'].map(
    name => `304-etag-update-response-${name}`)
])

export default [
  { id: 'age-parse', name: 'Age', tests: age },
  { id: 'cc-freshness', name: 'Freshness', tests: freshness },
  { id: 'cc-response', name: 'Cache-Control in responses', tests: response },
  { id: 'stale', name: 'Stale responses', tests: stale },
  { id: 'other', name: 'Dates', tests: dates },
  { id: 'cdn-cache-control', name: 'CDN-Cache-Control', tests: targeted }
]
