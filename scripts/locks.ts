// The package.json files and their lockfile say the same, the lockfile is whole for every platform, names no registry, and
// pins by hash: whoever installs chooses where from, and gets the very packages that were tested.

import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

type Dependencies = Readonly<Record<string, string>>
type Manifest = {
  readonly workspaces?: readonly string[]
  readonly dependencies?: Dependencies
  readonly devDependencies?: Dependencies
  readonly optionalDependencies?: Dependencies
  readonly peerDependencies?: Dependencies
}
type LockedPackage = Manifest & {
  readonly link?: boolean
  readonly resolved?: string
  readonly integrity?: string
  readonly inBundle?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
}
type Packages = Readonly<Record<string, LockedPackage>>

const dependencyFields = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const

/** What is wrong with the lockfile in a directory and the package.json files it speaks for, one line each. */
export function findLockProblems(directory: string): string[] {
  const { packages }: { packages: Packages } = readJson(join(directory, 'package-lock.json'))
  const problems = [
    ...findOutOfStep(directory, packages),
    ...Object.entries(packages).flatMap(([path, locked]) => [
      ...findUnpinned(path, locked),
      ...findMissing(path, locked, packages),
    ]),
  ]
  return problems.map((problem) => `${directory}: ${problem}`)
}

function findOutOfStep(directory: string, packages: Packages): string[] {
  const { workspaces = [] }: Manifest = readJson(join(directory, 'package.json'))
  const folders = [
    '.',
    ...globSync(
      workspaces.map((pattern) => `${pattern}/package.json`),
      { cwd: directory },
    ).map(dirname),
  ]
  return folders.flatMap((folder) => {
    const manifest: Manifest = readJson(join(directory, folder, 'package.json'))
    const locked = packages[folder === '.' ? '' : folder]
    return dependencyFields
      .filter((field) => inOrder(manifest[field]) !== inOrder(locked?.[field]))
      .map((field) => `${join(folder, 'package.json')} and package-lock.json differ in ${field}. Run npm install.`)
  })
}

function findUnpinned(path: string, { link, resolved, integrity, inBundle, dev, optional }: LockedPackage): string[] {
  if (!path.includes('node_modules/') || link) return []
  if (resolved !== undefined) return [`${path} names where it was downloaded from: ${resolved}`]
  // Registries that mirror only a part of npm's lack the builds of development tools for other platforms: there, npm
  // can't learn their hashes. Everything that the product runs on has one.
  const mayLackHash = inBundle || (dev && optional)
  return integrity === undefined && !mayLackHash ? [`${path} has no hash`] : []
}

/** npm leaves out the optional packages that its registry does not have, and `npm ci` then refuses the lockfile everywhere. */
function findMissing(path: string, { optionalDependencies = {} }: LockedPackage, packages: Packages): string[] {
  const isLocked = (name: string) => placesToLookIn(path).some((place) => packages[join(place, 'node_modules', name)])
  return Object.entries(optionalDependencies)
    .filter(([name]) => !isLocked(name))
    .map(([name, version]) => `${name}@${version}, an optional dependency of ${path}, is missing in package-lock.json`)
}

/** The directories whose node_modules Node searches for a package at `path`, nearest first. */
function placesToLookIn(path: string): string[] {
  const parents = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))
  return ['', ...parents].reverse()
}

function readJson(path: string) {
  return JSON.parse(readFileSync(path, 'utf8'))
}

function inOrder(dependencies: Dependencies = {}): string {
  return JSON.stringify(Object.entries(dependencies).sort())
}
