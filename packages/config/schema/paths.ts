import { z } from 'zod'
import { says } from './facts.ts'

/** A path that means the same wherever it is read. */
export const absolutePath = z
  .string(says('is not text'))
  .regex(/^(?!~)/, 'begins with ~, which nobody expands here')
  .regex(/^\/[^\p{C}]{0,4095}$/u, 'is no absolute path')
