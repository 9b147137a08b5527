// Base 64 as RFC 4648, section 4 has it, and only in the one form that each sequence of bytes has: what is signed or compared
// as text must not have several.

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** Null for what is not exactly what `encodeBase64` makes of some bytes: other alphabets, spaces, no padding, stray bits. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}
