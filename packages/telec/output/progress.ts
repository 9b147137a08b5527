// How far something is that takes long, for who sits at the terminal; nothing elsewhere.

import { styleText } from 'node:util'

const paceMs = 100

export type Progress = { step(): void; end(): void }

/** `total`: about how many steps there are. */
export function startProgress(what: string, total: number): Progress {
  const { stderr } = process
  if (!stderr.isTTY) return { step: () => undefined, end: () => undefined }
  const startMs = performance.now()
  let done = 0
  let shownMs = startMs
  return {
    step() {
      done++
      const nowMs = performance.now()
      if (nowMs - shownMs < paceMs) return
      shownMs = nowMs
      const share = total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total))
      const rate = Math.round(done / ((nowMs - startMs) / 1_000))
      stderr.write(`\r\x1b[K${styleText('dim', `${what} ${done} of ${total} (${share} %), ${rate} a second`)}`)
    },
    end() {
      if (shownMs !== startMs) stderr.write('\r\x1b[K')
    },
  }
}
