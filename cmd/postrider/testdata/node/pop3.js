// Three POP3 clients from npm behind one interface:
//
//   list()      the sizes as [number, octets]
//   uidl()      the unique ids as [number, id]; absent where the client has none
//   top(n, k)   the octets of TOP, retr(n) those of RETR
//   dele(n), quit()
'use strict';
const Pop3 = require('node-pop3');
const { Client: Yapople } = require('yapople');
const MailPop3 = require('mailpop3');

// RFC 1939 section 3: an answer ends in CRLF.CRLF and its lines that begin with
// a dot have one more. All three clients take the CRLF away with the final dot
// and leave the other dots to their user.
function restore(answer) {
  const text = answer.toString('latin1') + '\r\n';
  return Buffer.from(text.replace(/(^|\n)\./g, '$1'), 'latin1');
}

const entries = (object) => Object.entries(object).map(([n, value]) => [Number(n), value]);

async function nodePop3({ host, port, secure, user, password }) {
  const client = new Pop3({ host, port, tls: secure, user, password });
  // TOP() and RETR() give text; the octets are in the stream below them.
  async function octets(...command) {
    const [, stream] = await client.command(...command);
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const [name, ...args] = command;
    const all = Buffer.concat(chunks);
    if (await client[name](...args) !== all.toString()) throw new Error(`${command} differs`);
    return restore(all);
  }
  const numbers = (lines) => lines.map(([n, value]) => [Number(n), value]);
  await client.NOOP(); // logs in
  return {
    list: async () => numbers(await client.LIST()).map(([n, size]) => [n, Number(size)]),
    uidl: async () => numbers(await client.UIDL()),
    top: (n, k) => octets('TOP', n, k),
    retr: (n) => octets('RETR', n),
    dele: (n) => client.DELE(n),
    quit: () => client.QUIT(),
  };
}

async function yapople({ host, port, secure, user, password }) {
  const client = new Yapople({ host, port, tls: secure, username: user, password });
  await client.connect();
  return {
    list: async () => entries(await client.list()),
    top: async (n, k) => restore(await client.top(n, k)),
    retr: async (n) => restore(await client.retr(n)),
    dele: (n) => client.dele(n),
    quit: () => client.disconnect(), // its quit() does not wait for the answer
  };
}

async function mailPop3({ host, port, secure, login, user, password }) {
  const client = new MailPop3(port, host, { enabletls: Boolean(secure) });
  // Every answer is an event: whether it was +OK, then what there is to say.
  let fail;
  client.on('error', (err) => fail(err));
  const answer = (event, ask) => new Promise((resolve, reject) => {
    fail = reject;
    client.once(event, (ok, ...rest) => (ok ? resolve(rest) : reject(new Error(rest.join(' ')))));
    ask();
  });
  const command = (name, ...args) => answer(name, () => client[name](...args));
  await answer('connect', () => {});
  // Its AUTH PLAIN puts a "=" of its own behind the base64 text, which no
  // server may take for base64 (RFC 4648 section 4); CRAM-MD5 is right.
  if (login === 'CRAM-MD5') await command('auth', login, user, password);
  else await command(login === 'APOP' ? 'apop' : 'login', user, password);
  return {
    list: async () => entries((await command('list'))[2]).map(([n, size]) => [n, Number(size)]),
    uidl: async () => entries((await command('uidl'))[1]),
    // It decodes UTF-8 before anybody sees the octets. TOP alone keeps the last CRLF.
    top: async (n, k) => restore(Buffer.from((await command('top', n, k))[1].replace(/\r\n$/, ''))),
    retr: async (n) => restore(Buffer.from((await command('retr', n))[1])),
    dele: (n) => command('dele', n),
    quit: () => command('quit'),
  };
}

exports.open = { 'node-pop3': nodePop3, yapople, mailpop3: mailPop3 };
