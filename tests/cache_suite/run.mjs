// Runs the suite against a proxy in front of its server, and prints the results as JSON:
//
//   node run.mjs URL CHUNK [ID ...]
//
// CHUNK tests run at a time; with IDs, only those.
import fetch from 'node-fetch'
import fs from 'fs'
import path from 'path'
import { createRequire } from 'module'
import { getResults, runTests } from 'http-cache-tests/client/runner.mjs'
import published from 'http-cache-tests/tests/index.mjs'
import newer, { onlyLookedAt } from './newer.mjs'

const [base, chunk, ...ids] = process.argv.slice(2)
const wanted = test => !test.browser_only && (!ids.length || ids.includes(test.id))
const replaced = new Set(newer.flatMap(suite => suite.tests.map(test => test.id)))
const kept = published.map(suite =>
  ({ ...suite, tests: suite.tests.filter(test => !replaced.has(test.id)) }))
const suites = [...kept, ...newer]
  .map(suite => ({ ...suite, tests: suite.tests.filter(wanted) }))

const log = console.error
console.error = () => {}
await runTests(suites, fetch, false, base, Number(chunk))
console.error = log

const home = path.dirname(createRequire(import.meta.url).resolve('http-cache-tests/package.json'))
const recorded = {}
for (const file of fs.readdirSync(path.join(home, 'results'))) {
  if (file.endsWith('.json')) {
    recorded[file.slice(0, -5)] = JSON.parse(fs.readFileSync(path.join(home, 'results', file)))
  }
}
const tests = suites.flatMap(suite =>
  suite.tests.map(test => ({
    id: test.id,
    group: suite.id,
    kind: onlyLookedAt.has(test.id) ? 'check' : test.kind || 'required',
    needs: test.depends_on || []
  })))
const found = JSON.stringify({ tests, results: getResults(), recorded })
process.stdout.write(found + '\n', () => process.exit(0))
