// Calls a server with @grpc/grpc-js, the gRPC of Node.js: node grpc_js.js ADDRESS CERTIFICATES
// CERTIFICATES holds ca.pem, cert.pem and key.pem of an agent of tenant acme; left out: plain text.
// Messages are written by hand below, so that nothing but the transport is tried. Ends with 1 where a check fails.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');

const [address, directory] = process.argv.slice(2);
const same = (bytes) => bytes;
const pem = (name) => fs.readFileSync(path.join(directory, name + '.pem'));
const credentials = directory
  ? grpc.credentials.createSsl(pem('ca'), pem('key'), pem('cert'))
  : grpc.credentials.createInsecure();
const limits = {'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1};

function varint(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
  return Buffer.from([...bytes, number]);
}

// A field of protobuf: text or bytes; numbers are of wire type 0.
function field(number, content) {
  if (typeof content === 'number') return Buffer.concat([varint(number * 8), varint(content)]);
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

const NAMESPACE = field(1, 'acme/js');
const put = (key, value) => Buffer.concat([NAMESPACE, field(3, key), field(4, value)]);
const get = (key) => Buffer.concat([NAMESPACE, field(3, key)]);
const ahead = (key) => Buffer.concat([get(key), field(2, field(2, 2 ** 40))]);
const watch = Buffer.concat([NAMESPACE, field(3, 1), field(7, 0)]);

function start(client, call, message, options, metadata) {
  let handle;
  const done = new Promise((resolve) => {
    handle = client.makeUnaryRequest(call, same, same, message, metadata || new grpc.Metadata(), options || {},
      (error, reply) => resolve({error, reply}));
  });
  return {handle, done};
}

async function succeed(...call) {
  const {error, reply} = await start(...call).done;
  assert.ifError(error);
  return reply;
}

async function fail(code, ...call) {
  const {error} = await start(...call).done;
  assert.ok(error, 'the call should have failed');
  assert.strictEqual(error.code, code, error.message);
  return error;
}

const PUT = '/memraft.v1.KvService/Put';
const GET = '/memraft.v1.KvService/Get';

async function sizes(client) {
  for (const size of [3, 100, 16383, 16384, 65530, 1 << 20, 8 << 20]) {
    const value = Buffer.alloc(size, 'abcdefghijk');
    value[0] = value[size - 1] = 34;
    await succeed(client, PUT, put('k', value));
    const reply = await succeed(client, GET, get('k'));
    assert.ok(reply.includes(value), `a document of ${size} bytes did not come back`);
  }
}

async function errors(client) {
  const foreign = Buffer.concat([field(1, 'acme//'), field(3, 'k'), field(4, '1')]);
  const refused = await fail(grpc.status.INVALID_ARGUMENT, client, PUT, foreign);
  assert.ok(refused.metadata.get('grpc-status-details-bin')[0].includes('INVALID_ARGUMENT'));
  await fail(grpc.status.UNIMPLEMENTED, client, '/memraft.v1.KvService/Nothing', foreign);
  await fail(grpc.status.DEADLINE_EXCEEDED, client, GET, ahead('k'), {deadline: Date.now() + 200});
  const given = start(client, GET, ahead('k'));
  given.handle.cancel();
  assert.strictEqual((await given.done).error.code, grpc.status.CANCELLED);
}

async function metadata(client) {
  const said = new grpc.Metadata();
  said.add('x-request-id', '7');
  said.add('x-raw-bin', Buffer.from([...Array(256).keys()]));
  for (let i = 0; i < 3; i++) await succeed(client, PUT, put('k', '1'), {}, said);
}

async function many(client) {
  const writes = [...Array(300).keys()].map((i) => succeed(client, PUT, put('n' + i, String(1000 + i))));
  await Promise.all(writes);
  const reads = await Promise.all([...Array(300).keys()].map((i) => succeed(client, GET, get('n' + i))));
  reads.forEach((reply, i) => assert.ok(reply.includes(String(1000 + i))));
}

function stream(client) {
  return new Promise((resolve, reject) => {
    const call = client.makeServerStreamRequest('/memraft.v1.WatchService/Watch', same, same, watch);
    let seen = 0;
    call.on('data', () => { if (++seen === 3) call.cancel(); });
    call.on('error', (error) => {
      try {
        assert.strictEqual(error.code, grpc.status.CANCELLED);
        assert.ok(seen >= 3);
        resolve();
      } catch (wrong) { reject(wrong); }
    });
  });
}

async function main() {
  for (const algorithm of [0, 2]) { // identity, gzip
    const options = {...limits, 'grpc.default_compression_algorithm': algorithm};
    const client = new grpc.Client(address, credentials, options);
    for (const check of [sizes, errors, metadata, many, stream]) {
      await check(client);
      console.log(`grpc-js: ${check.name}, compression ${algorithm}: right`);
    }
    client.close();
  }
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
