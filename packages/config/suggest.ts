/** The candidate that was most likely meant, or null where none is close: at most two letters off, or a part of it. */
export function suggest(written: string, candidates: readonly string[]): string | null {
  const near = candidates
    .map((candidate) => ({ candidate, distance: distance(written.slice(0, 64).toLowerCase(), candidate) }))
    .filter(
      ({ candidate, distance }) =>
        distance <= Math.min(2, candidate.length - 2) || (written.length > 2 && candidate.includes(written)),
    )
    .sort((one, other) => one.distance - other.distance)
  return near[0]?.candidate ?? null
}

/** How many letters have to be put in, taken out or changed (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...from].entries()) {
    let diagonal = row[0] ?? 0
    const next = [index + 1]
    for (const [column, other] of [...to].entries()) {
      const above = row[column + 1] ?? 0
      next.push(Math.min(above + 1, (next[column] ?? 0) + 1, diagonal + (letter === other ? 0 : 1)))
      diagonal = above
    }
    row = next
  }
  return row[to.length] ?? 0
}
