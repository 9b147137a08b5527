// The keys of a person's own file, ~/.teleclaude/config.yml: how telec behaves for them. Nothing here can change what the
// machine's admin has said, and nothing here is secret.

import { z } from 'zod'
import { key, legacy, noGroup, says } from './facts.ts'
import { deploymentKeys } from './system.ts'

const agentName = z
  .string(says('is not text'))
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'is no name of an agent (1 to 64 of a-z, 0-9, dot, dash and underscore)')
const modeName = z
  .string(says('is not text'))
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'is no name of a mode (letters, digits, dot, dash and underscore)')
export const titleFields = ['program', 'agent', 'mode', 'project', 'directory'] as const
/** Control characters would act on terminals that list sessions. */
const titleFormat = z
  .string(says('is not text'))
  .regex(/^(?=.*\S)[^\p{Cc}\p{Cs}]{1,200}$/u, 'is no line of text (1 to 200 characters)')
  .superRefine((format, context) => {
    const fields: readonly string[] = titleFields
    for (const [written, field = ''] of format.matchAll(/\{([^{}]*)\}/g)) {
      if (!fields.includes(field))
        context.addIssue({ code: 'custom', message: `has ${written}, which stands for nothing` })
    }
  })

const colourWishes = ['auto', 'always', 'never'] as const
const noticeStyles = ['plain', 'bold', 'dim'] as const

const agent = key(agentName.optional(), {
  description: 'What `telec run` starts without a command.',
  mend: 'write the name of a program, such as claude, or take it away for your login shell',
  applies: 'next command',
  variable: 'TELECLAUDE_AGENT',
})
const mode = key(modeName.optional(), {
  description: "Which of the agent's modes (`agents`) it is started in. `telec run --mode` comes before it.",
  mend: 'write the name of one of the modes below agents',
  applies: 'next command',
})
const title = key(titleFormat.optional(), {
  description: `What lists call a session that has no --title. ${titleFields.map((field) => `{${field}}`).join(', ')} stand for what they say. Default: {program}.`,
  mend: `write text with ${titleFields.map((field) => `{${field}}`).join(', ')} in it`,
  applies: 'next command',
})

const argument = z
  .string(says('is not text'))
  .max(4096, 'is longer than 4096 characters')
  .refine((text) => !text.includes('\0'), 'has a NUL character')
const agentsSchema = z.record(
  agentName,
  z.strictObject(
    {
      modes: key(
        z.record(modeName, z.array(argument, says('is no list')).max(64, 'has more than 64 words'), noGroup).optional(),
        {
          description: "The words that are added to the agent's command, by the name of the mode.",
          mend: 'write a name and a list of words, such as "plan: [--permission-mode, plan]"',
          applies: 'next command',
        },
      ),
    },
    noGroup,
  ),
  noGroup,
)
/** `~/` is the person's home: this file has only one reader. */
const projectPath = z
  .string()
  .regex(/^(\/|~\/|~$)[^\p{C}]{0,4095}$/u, 'is no absolute path, and none that begins with ~/')

export const personalKeys = {
  agent,
  mode,
  agents: key(agentsSchema.nullish(), {
    description: 'Agents by name, with the modes that they can be started in.',
    mend: 'write the name of an agent, and "modes:" below it',
    applies: 'next command',
  }),
  title,
  agent_status: key(z.boolean(says('is neither true nor false')).optional(), {
    description:
      'Whether Claude Code and Codex are started so that they say whether they work, wait for you or are idle (docs/agents.md). Default: true.',
    mend: 'write true or false',
    applies: 'next command',
  }),
  colours: key(z.enum(colourWishes, says('is neither auto, always nor never')).optional(), {
    description:
      'Whether telec colours what it prints: auto (on a terminal), always, never. NO_COLOR and FORCE_COLOR come before it.',
    mend: `write one of ${colourWishes.join(', ')}; in YAML, no and off are text only in quotes`,
    applies: 'next command',
  }),
  detach_key: key(z.string(says('is not text')).regex(/^ctrl-[a-z\\\]^_] [a-z]$/, 'is no pair of keys'), {
    description: 'Lets go of a session, which goes on: Ctrl and a key, then a letter. Default: "ctrl-\\ d".',
    mend: 'write it as "ctrl-\\ d": Ctrl and one of a to z, \\ ] ^ _, a blank, and a small letter',
    applies: 'next command',
  }).optional(),
  notice_style: key(z.enum(noticeStyles, says(`is none of ${noticeStyles.join(', ')}`)).optional(), {
    description: 'How the notice at the start of each session looks: plain, bold, dim. It can not be turned off.',
    mend: `write one of ${noticeStyles.join(', ')}`,
    applies: 'next command',
  }),
  projects: key(z.record(projectPath, z.strictObject({ agent, mode, title }, noGroup), noGroup).nullish(), {
    description:
      'Other values of agent, mode and title in a directory and what is below it: the longest path that matches counts.',
    mend: 'write a path, and agent, mode or title below it',
    applies: 'next command',
  }),
}

export const personalSchema = z.strictObject({ ...personalKeys, legacy }, noGroup)
/** In single-user mode one file is both. */
export const singleUserSchema = z.strictObject({ ...deploymentKeys, ...personalKeys, legacy }, noGroup)
