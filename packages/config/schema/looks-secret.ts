// What has the form of a secret, and would be readable by everybody in a file that is no secrets file. Names and forms that
// are known, no guessing by entropy: a false alarm would keep a good configuration from being used.

const secretKey =
  /(^|[^a-z])(passwords?|passwd|passphrase|secrets?|tokens?|api_?-?keys?|apikeys?|access_?-?keys?|private_?-?keys?|credentials?|creds)$/

/** Of a key's name, in snake_case, kebab-case, camelCase or SCREAMING_CASE. */
export function isSecretKey(name: string): boolean {
  return secretKey.test(name.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase())
}

/** Each takes a time that grows with the text, and not with its square: what may be there often has an end. */
const secretValues: readonly RegExp[] = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /\b(sk|pk|rk)[-_][A-Za-z0-9_-]{16,}/,
  /\b(gh[opsur]_|github_pat_|glpat-|npm_|hf_)[A-Za-z0-9_-]{16,}/,
  /\bxox[abeoprs]-[A-Za-z0-9-]{10,}/,
  /\b(AKIA|ASIA)[A-Z0-9]{16}\b/,
  /\bAIza[\w-]{30,}/,
  // JSON Web Token (RFC 7519), bot token of Telegram, Bearer token (RFC 6750).
  /\beyJ[\w-]{8,512}\.[\w-]{8,}\./,
  /\b\d{8,10}:[\w-]{35}\b/,
  /\bBearer\s+[\w.~+/-]{16,}/i,
  // The userinfo of a URL (RFC 3986, 3.2.1), and the password parameter of a database's.
  /[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#@:]*:[^\s/?#@]+@/i,
  /[?&](password|passwd|token|secret|api_?key|sslpassword)=[^\s&]/i,
]

export function isSecretValue(text: string): boolean {
  return secretValues.some((form) => form.test(text))
}
