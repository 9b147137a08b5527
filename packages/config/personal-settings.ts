// What of a person's own file counts for them, and where it stands: for `telec config show`.

import { describePlace } from './config-error.ts'
import { detachKey } from './defaults.ts'
import type { Variables } from './environment.ts'
import type { Mode } from './layout.ts'
import { readPreferences } from './preferences.ts'
import { readConfigFileIfThere } from './read-file.ts'
import { factsAt } from './schema/explain.ts'
import { personalKeys, personalSchema } from './schema/personal.ts'
import { asJson, type Setting } from './setting.ts'
import { parseYaml } from './yaml.ts'

/** @throws ConfigError as readPreferences */
export function readPersonalSettings(file: string, mode: Mode, env: Variables): readonly Setting[] {
  readPreferences(file, mode)
  const yaml = parseYaml(file, readConfigFileIfThere(file)?.text ?? '')
  return Object.keys(personalKeys).map((key) => {
    const { variable, applies = 'next command' } = factsAt(personalSchema, [key])
    const said = variable === undefined ? undefined : env[variable]
    const written = typeof yaml.value === 'object' && yaml.value !== null ? Reflect.get(yaml.value, key) : undefined
    const candidates = [
      ...(variable === undefined || !said
        ? []
        : [{ value: said, origin: { layer: 'environment', place: variable } as const }]),
      ...(written === undefined || written === null
        ? []
        : [{ value: written, origin: { layer: 'personal', place: describePlace(yaml.place([key])) } as const }]),
      { value: personalDefaults[key] ?? null, origin: { layer: 'default', place: null } as const },
    ]
    const [first, ...rest] = candidates
    const shadows = rest.map(({ origin }) => origin).filter(({ layer }) => layer !== 'default')
    return {
      key,
      value: asJson(first?.value ?? null),
      origin: first?.origin ?? { layer: 'default', place: null },
      shadows,
      applies,
    }
  })
}

const personalDefaults: Readonly<Record<string, string | boolean>> = {
  title: '{program}',
  colours: 'auto',
  detach_key: detachKey,
  notice_style: 'plain',
  agent_status: true,
}
