// Whether and how output is coloured.

import { styleText } from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan'

type Environment = { readonly [name: string]: string | undefined }

/** Whether to colour what goes to a stream: FORCE_COLOR decides where it is set (`0` and `false` are no), then a NO_COLOR that
 *  is not empty (https://no-color.org), then what its reader wishes, then whether the stream is a terminal that can. */
export function wantsColour(
  stream: { readonly isTTY?: boolean },
  env: Environment,
  wish: 'auto' | 'always' | 'never' = 'auto',
): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: unwanted, TERM: terminal } = env
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  if (unwanted !== undefined && unwanted !== '') return false
  if (wish !== 'auto') return wish === 'always'
  return stream.isTTY === true && terminal !== 'dumb'
}

/** The text in a style, where there is colour. */
export function paint(text: string, style: Style, colour: boolean): string {
  return colour ? styleText(style, text, { validateStream: false }) : text
}
