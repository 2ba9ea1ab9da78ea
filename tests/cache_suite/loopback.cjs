// Preloaded into the suite's server: it listens on loopback only.
const net = require('net')

const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, '127.0.0.1', ...rest)
}
