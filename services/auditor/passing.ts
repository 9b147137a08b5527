// What waiting may mend: a database that is away, a disk without room, a directory that is not ours yet.

import { DirectoryError } from '@teleclaude/config/directories.ts'
import { StoreError } from '@teleclaude/store/contract.ts'

const passing = ['unavailable', 'schema-older', 'not-writable']

export function isPassing(error: unknown): error is Error {
  if (error instanceof StoreError) return passing.includes(error.code)
  return error instanceof DirectoryError || (error instanceof Error && 'syscall' in error)
}
