/** The lines of a stream of UTF-8, without their newlines. One that is too long is given cut, so that it is none of those wanted. */
export async function* readLines(stream: AsyncIterable<Buffer>, maxLength: number): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of stream) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n')
    rest = (lines.pop() ?? '').slice(0, maxLength + 1)
    for (const line of lines) yield line.slice(0, maxLength + 1)
  }
  if (rest !== '') yield rest
}
