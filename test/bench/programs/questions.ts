// The program's side of a bench: it answers questions one after the other, as the user that it is to be, and ends when nobody
// can ask any more.

/** To be called once everything is loaded: another user may not be able to read the checkout. Without root it stays who it is. */
export function becomeUser(uid: number): void {
  if (process.getuid?.() !== 0) return
  process.setgroups?.([])
  process.setgid?.(uid)
  process.setuid?.(uid)
}

export function answerQuestions(answer: (question: unknown) => Promise<unknown>): void {
  process.on('message', (question) => {
    answer(question).then(
      (found) => process.send?.({ answer: found }),
      (error: unknown) => process.send?.({ failure: error instanceof Error ? error.stack : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit())
  process.send?.('ready')
}
