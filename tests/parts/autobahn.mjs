// Counts a report of the Autobahn test suite: `passed failed`. A case whose subject the standard
// leaves open is informational, and passes.
import { readFileSync } from "node:fs"

const cases = JSON.parse(readFileSync(process.argv[2], "utf8")).floe
const passes = ({ behavior, behaviorClose }) =>
  [behavior, behaviorClose].every((said) => said === "OK" || said === "INFORMATIONAL")
const failed = Object.keys(cases).filter((name) => !passes(cases[name]))
for (const name of failed) {
  console.error(`${name}: ${cases[name].behavior}, close ${cases[name].behaviorClose}`)
}
console.log(Object.keys(cases).length - failed.length, failed.length)
