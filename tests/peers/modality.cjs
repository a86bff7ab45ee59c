// A modality: sends procedure steps and objects with dcmjs-dimse, each item of the plan on an association of its own.
// node modality.cjs PORT CALLING_AE PLAN.json; one JSON line for each answer: {status, comment, at (POSIX seconds)}.
const fs = require("fs");
const { Client, Dataset, requests, constants } = require("dcmjs-dimse");
require("dcmjs-dimse").log.setLevel("silent");

const STEP = constants.SopClass.ModalityPerformedProcedureStep || "1.2.840.10008.3.1.2.3.3";
const [port, calling, planFile] = process.argv.slice(2);

function requestOf(item) {
  if (item.store) return new requests.CStoreRequest(item.store);
  const kind = item.create ? requests.NCreateRequest : requests.NSetRequest;
  const request = new kind(STEP, item.create || item.set);
  request.setDataset(new Dataset(item.attributes));
  return request;
}

function send(items) {
  return new Promise((done, failed) => {
    const client = new Client();
    for (const item of items) {
      const request = requestOf(item);
      request.on("response", (response) => {
        const answer = { status: response.getStatus(), comment: response.getErrorComment?.() || "", at: Date.now() / 1000 };
        process.stdout.write(JSON.stringify(answer) + "\n");
      });
      client.addRequest(request);
    }
    client.on("networkError", failed);
    client.on("associationReleased", done);
    client.send("127.0.0.1", Number(port), calling, "TRIAGE");
  });
}

(async () => {
  for (const items of JSON.parse(fs.readFileSync(planFile))) await send(items);
  process.exit(0);
})().catch((error) => {
  process.stderr.write(String(error) + "\n");
  process.exit(1);
});
