'use strict';

// A shop that knows nothing of tests, traces or profiles.
const { createHash } = require('node:crypto');
const http = require('node:http');

/** Works for some milliseconds. */
function priceOrder(number) {
  let digest = Buffer.from(number);
  for (let i = 0; i < 1500; i++) digest = createHash('sha256').update(digest).digest();
  return digest.toString('hex', 0, 4);
}

const server = http.createServer((request, response) => {
  const found = /^\/orders\/(\d+)$/.exec(request.url);
  if (!found) {
    response.writeHead(404).end();
    return;
  }
  setTimeout(() => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ order: Number(found[1]), price: priceOrder(found[1]) }));
  }, 2);
});

server.listen(Number(process.env.PORT), '127.0.0.1');
