// No POP3 client from npm manages STLS (RFC 2595) on a node of today: node-pop3
// and yapople do not know it, mailpop3 and its relatives need a part of node's
// crypto that is no more. So they go through this, as through stunnel: a port
// that takes plain connections and upgrades its own to the server.
'use strict';
const net = require('node:net');
const tls = require('node:tls');

// line reads a line that must be the last that was sent.
function line(socket) {
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk) => {
      text += chunk.toString('latin1');
      if (!text.includes('\n')) return;
      socket.off('data', take);
      socket.pause();
      if (text.startsWith('+OK') && text.endsWith('\r\n') && text.split('\n').length === 2) resolve(text);
      else reject(new Error(`the server said ${JSON.stringify(text)}`));
    };
    socket.on('data', take);
    socket.on('error', reject);
    socket.resume();
  });
}

async function upgraded(host, port) {
  const plain = net.connect({ host, port });
  const greeting = await line(plain);
  plain.write('STLS\r\n');
  await line(plain);
  const secure = tls.connect({ socket: plain, host });
  await new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject));
  return { greeting, secure };
}

// tunnel listens for one client and resolves to the port.
exports.tunnel = (host, port) => new Promise((resolve) => {
  const listener = net.createServer(async (client) => {
    listener.close();
    const { greeting, secure } = await upgraded(host, port);
    client.write(greeting, 'latin1');
    client.pipe(secure).pipe(client);
  });
  listener.listen(0, '127.0.0.1', () => resolve(listener.address().port));
});
