// Serves a few calls with the gRPC of Node.js, whose HTTP/2 is nghttp2's: NODE_PATH=... node grpc_js_server.js [certs]
"use strict";
const fs = require("fs");
const grpc = require("@grpc/grpc-js");

const same = (bytes) => bytes;
const method = (name, responseStream) => ({
  path: `/s/${name}`, requestStream: false, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const service = { Echo: method("Echo", false), Fail: method("Fail", false), Wait: method("Wait", false),
  Count: method("Count", true), Endless: method("Endless", true) };

const details = new grpc.Metadata();
details.set("grpc-status-details-bin", Buffer.from([0, 255, 1]));
const handlers = {
  Echo: (call, callback) => callback(null, call.request),
  Fail: (call, callback) =>
    callback({ code: grpc.status.FAILED_PRECONDITION, details: call.request.toString(), metadata: details }),
  Wait: () => {},
  Count: (call) => {
    for (let number = 0; number < Number(call.request); number++) call.write(Buffer.from(String(number)));
    call.end();
  },
  Endless: (call) => {
    const more = () => {
      while (!call.cancelled && call.write(call.request)) ;
      if (!call.cancelled) call.once("drain", more);
    };
    more();
  },
};

const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
server.addService(service, handlers);
const certs = process.argv[2];
const read = (name) => fs.readFileSync(`${certs}/${name}.pem`);
const credentials = certs
  ? grpc.ServerCredentials.createSsl(read("ca"), [{ private_key: read("key"), cert_chain: read("cert") }], true)
  : grpc.ServerCredentials.createInsecure();
server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
  if (error) throw error;
  console.log(port);
});
process.stdin.on("end", () => { server.forceShutdown(); process.exit(0); });
process.stdin.resume();
