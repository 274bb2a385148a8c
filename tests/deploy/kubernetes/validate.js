// Asks the types of the Kubernetes API about objects: validate.js FILE, a JSON array of them. A
// line a problem on standard output. TypeScript finds members that there are not and values of
// another type; the schemas find missing members and bounds.
const { execFileSync } = require("child_process");
const { readFileSync, writeFileSync } = require("fs");
const { join } = require("path");

const objects = JSON.parse(readFileSync(process.argv[2]));
const lines = [];
objects.forEach((object, number) => {
  const module = `kubernetes-models/${object.apiVersion}/${object.kind}`;
  const place = `${object.kind} ${object.metadata.name}`;
  try {
    new (require(module)[object.kind])(object).validate();
  } catch (error) {
    console.log(`${place}: ${error.message}`);
  }
  lines.push(`import type { I${object.kind} as Type${number} } from "${module}";`);
  lines.push(`export const object${number}: Type${number} = ${JSON.stringify(object)};`);
});
const file = join(__dirname, "objects.ts");
writeFileSync(file, lines.join("\n") + "\n");
const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"];
try {
  execFileSync("node", [require.resolve("typescript/bin/tsc"), ...options, file], { encoding: "utf8" });
} catch (error) {
  console.log(error.stdout);
}
