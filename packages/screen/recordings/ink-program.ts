// A program as agents are in a terminal: lines above that stay, a spinner, a box to type in, pastes in brackets. To be recorded.

import { Box, render, Static, Text, useApp, useInput, usePaste } from 'ink'
import { createElement as h, useEffect, useState } from 'react'

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']

function Agent() {
  const { exit } = useApp()
  const [said, setSaid] = useState<string[]>([])
  const [draft, setDraft] = useState('')
  const [ticks, setTicks] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => setTicks((count) => count + 1), 40)
    return () => clearInterval(timer)
  }, [])
  useInput((input, key) => {
    if (key.return) {
      if (draft === 'bye') exit()
      setSaid((lines) => [...lines, draft])
      setDraft('')
    } else if (key.backspace || key.delete) setDraft((text) => text.slice(0, -1))
    else if (!key.ctrl && !key.meta) setDraft((text) => text + input)
  })
  usePaste((text) => setDraft((before) => before + text))
  return h(
    Box,
    { flexDirection: 'column' },
    h(Static<string>, {
      items: said,
      // biome-ignore lint/correctness/noChildrenProp: it is a function, which createElement's types take no other way
      children: (line, index) =>
        h(
          Box,
          { key: index, flexDirection: 'column' },
          h(Text, { color: 'cyan', bold: true }, `> ${line}`),
          h(
            Text,
            { color: index % 2 === 0 ? 'green' : '#ff8800' },
            `● Edited file-${index}.ts 漢字 👩‍💻 ${'word '.repeat(20)}`,
          ),
        ),
    }),
    h(
      Box,
      { gap: 1 },
      h(Text, { color: 'magenta' }, frames[ticks % frames.length]),
      h(Text, { dimColor: true }, `Thinking… (${said.length} turns, esc to interrupt)`),
    ),
    h(
      Box,
      { borderStyle: 'round', borderColor: 'gray', paddingX: 1 },
      h(Text, null, `> ${draft}`),
      h(Text, { inverse: true }, ' '),
    ),
    h(Text, { color: 'yellow', underline: true }, '? for shortcuts'),
  )
}

render(h(Agent))
