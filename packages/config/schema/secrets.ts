// Secrets by name: `{ secret: NAME }` stands where the value would, and the value is in a file or a variable of its own.

import { z } from 'zod'
import { key, legacy, noGroup, says } from './facts.ts'

export const secretNamePattern = /^[a-z][a-z0-9_]{0,63}$/
const secretName = z
  .string(says('is not text'))
  .regex(secretNamePattern, 'is no name of a secret (small letters, digits and _)')

export const secretReference = z.strictObject(
  {
    secret: key(secretName, {
      description: 'The name of a secret.',
      mend: 'write the name of a secret, such as database_url',
    }),
  },
  noGroup,
)

/** Of secrets.yml: a value for each name. */
export const secretsSchema = z.strictObject({ legacy }, noGroup).catchall(
  key(
    z
      .string(says('is not text'))
      .min(1, 'is empty')
      .max(64 * 1024, 'is longer than 65536 characters'),
    {
      description: 'The value of the secret of this name.',
      mend: 'write it in quotes',
    },
  ),
)
