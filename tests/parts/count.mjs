// Prints "passed failed" of a report of vitest. With a second argument, each file must have run at
// least that many tests.
import { readFileSync } from "node:fs"

const [, , path, leastText] = process.argv
const report = JSON.parse(readFileSync(path, "utf8"))
const least = Number(leastText ?? 1)

let passed = 0
let failed = 0
for (const file of report.testResults) {
  const tests = file.assertionResults
  const good = tests.filter((test) => test.status === "passed").length
  passed += good
  // What did not run has not passed; a file that fails as a whole may have no tests to show for it.
  failed += Math.max(tests.length, least) - good
  if (failed === 0 && file.status !== "passed") failed += 1
}
console.log(passed, failed)
