// Signers that send nothing: node sign.mjs CLIENT, with the packages' directory in INTEROP_NODE_MODULES. A JSON
// object per line in, {"signature": "…"} or {"error": "…"} out.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { createHash, createHmac } from 'node:crypto'

const require = createRequire(process.env.INTEROP_NODE_MODULES + '/')
const KEYS = ({ access_key_id, secret_access_key, session_token }) => ({
  accessKeyId: access_key_id,
  secretAccessKey: secret_access_key,
  sessionToken: session_token,
})

// A name that is given twice is a list, as Node's `http` takes it.
function byName(pairs) {
  const headers = {}
  for (const [name, value] of pairs) headers[name] = name in headers ? [headers[name], value].flat() : value
  return headers
}

function aws4(line) {
  const { sign } = require('aws4')
  const dated = { 'X-Amz-Date': line.time }
  // How long a URL holds is for its callers to write.
  const own = line.presign ? `X-Amz-Expires=${line.expires}&X-Amz-Date=${line.time}` : ''
  const request = {
    hostname: new URL(line.endpoint).host,
    method: line.method,
    path: own ? line.target + (line.target.includes('?') ? '&' : '?') + own : line.target,
    headers: { ...byName(line.headers), ...(line.presign ? {} : dated) },
    service: line.service,
    region: line.region,
    signQuery: line.presign,
  }
  if (line.body.length) request.body = line.body
  const signed = sign(request, KEYS(line.credentials))
  return line.presign ? signed.path.match(/X-Amz-Signature=(\w+)/)[1] : signed.headers.Authorization.split('Signature=')[1]
}

async function aws4fetch(line) {
  const { AwsV4Signer } = require('aws4fetch')
  const url = new URL(line.endpoint + line.target)
  if (line.presign) url.searchParams.set('X-Amz-Expires', line.expires)
  const headers = new Headers()
  for (const [name, value] of line.headers) headers.append(name, value)
  // It leaves the body of S3 unsigned, unless its callers say what it hashes to.
  const hash = createHash('sha256').update(line.body).digest('hex')
  if (line.service === 's3' && !line.presign) headers.set('X-Amz-Content-Sha256', hash)
  const signer = new AwsV4Signer({
    ...KEYS(line.credentials),
    url: line.presign ? url.href : line.endpoint + line.target,
    method: line.method,
    headers,
    body: line.body.length ? line.body : undefined,
    service: line.service,
    region: line.region,
    datetime: line.time,
    signQuery: line.presign,
    allHeaders: true,
  })
  return signer.signature()
}

async function smithy(line) {
  const { SignatureV4 } = require('@smithy/signature-v4')
  const url = new URL(line.endpoint)
  const [path, query] = line.target.split(/\?(.*)/s)
  const s3 = line.service === 's3'
  const parameters = {}
  for (const piece of query ? query.split('&') : []) {
    const [name, value = ''] = piece.split(/=(.*)/s).map((part) => decodeURIComponent(part))
    parameters[name] = name in parameters ? [parameters[name], value].flat() : value
  }
  const headers = { host: url.host }
  for (const [name, value] of line.headers) {
    if (name in headers) throw new Error('a header is one text')
    headers[name] = value
  }
  if (s3 && line.presign) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'
  const signer = new SignatureV4({
    credentials: KEYS(line.credentials),
    region: line.region,
    service: line.service,
    sha256: Sha256,
    uriEscapePath: !s3,
    applyChecksum: s3 && !line.presign,
  })
  const request = {
    method: line.method,
    protocol: url.protocol,
    hostname: url.hostname,
    path,
    query: parameters,
    headers,
    body: line.body.length ? line.body : undefined,
  }
  const signingDate = new Date(line.time.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5'))
  if (!line.presign) return (await signer.sign(request, { signingDate })).headers.authorization.split('Signature=')[1]
  const unhoistableHeaders = new Set(Object.keys(headers).map((name) => name.toLowerCase()))
  const unsignableHeaders = new Set(['x-amz-content-sha256'])
  const options = { signingDate, expiresIn: line.expires, unhoistableHeaders, unsignableHeaders }
  return (await signer.presign(request, options)).query['X-Amz-Signature']
}

// What @smithy/signature-v4 asks of a hash, by Node's own.
class Sha256 {
  constructor(secret) {
    this.hash = secret ? createHmac('sha256', secret) : createHash('sha256')
  }
  update(data) {
    this.hash.update(data)
  }
  async digest() {
    return this.hash.digest()
  }
}

const signer = { aws4, aws4fetch, smithy }[process.argv[2]]
for await (const text of createInterface({ input: process.stdin })) {
  let answer
  try {
    const line = JSON.parse(text)
    line.body = Buffer.from(line.body_base64, 'base64')
    answer = { signature: await signer(line) }
  } catch (why) {
    answer = { error: `${why}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
