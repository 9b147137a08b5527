import assert from 'node:assert/strict'
import { lstat, mkdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { copyCheckout, runCommand } from '../test/support/checkout.ts'

async function makeHome(t: TestContext) {
  const checkout = await copyCheckout(t, 'scripts/link-telec.ts', 'bin')
  const home = join(dirname(checkout), 'home')
  const binaries = join(home, '.local/bin')
  await mkdir(home)
  const linkTelec = (PATH = `/usr/bin:${binaries}`) =>
    runCommand(process.execPath, [join(checkout, 'scripts/link-telec.ts')], { env: { HOME: home, PATH } })
  return { home, binaries, link: join(binaries, 'telec'), launcher: join(checkout, 'bin/telec'), linkTelec }
}

test('links telec once and says so', async (t) => {
  const { link, launcher, linkTelec } = await makeHome(t)
  assert.deepEqual(await linkTelec(), { code: 0, stdout: `Linked ${link} to ${launcher}\n`, stderr: '' })
  assert.equal(await readlink(link), launcher)
  assert.deepEqual(await linkTelec(), { code: 0, stdout: '', stderr: '' })
})

test('says what to put on PATH where the link would not be found', async (t) => {
  const { linkTelec } = await makeHome(t)
  assert.match((await linkTelec('/usr/bin')).stdout, /profile: export PATH="\$HOME\/\.local\/bin:\$PATH"\n$/)
})

test('leaves a file, a directory or a link of somebody else as it is and says so', async (t) => {
  const { binaries, link, launcher, linkTelec } = await makeHome(t)
  await mkdir(binaries, { recursive: true })
  await writeFile(link, 'mine')
  const { code, stdout } = await linkTelec()
  assert.equal(code, 0)
  assert.equal(
    stdout,
    `Left ${link} as it is: another program is there. Remove it and run this again, or use ${launcher}\n`,
  )
  assert.equal(await readFile(link, 'utf8'), 'mine')
})

test('leaves a link that leads elsewhere, even nowhere', async (t) => {
  const { binaries, link, linkTelec } = await makeHome(t)
  await mkdir(binaries, { recursive: true })
  await symlink('/opt/another/telec', link)
  assert.match((await linkTelec()).stdout, /as it is: it leads to \/opt\/another\/telec\. Remove it/)
  assert.equal(await readlink(link), '/opt/another/telec')
})

test('where it cannot link, says why and what to use instead', async (t) => {
  const { home, launcher, linkTelec } = await makeHome(t)
  await writeFile(join(home, '.local'), 'not a directory')
  const { code, stdout } = await linkTelec()
  assert.equal(code, 0)
  assert.match(stdout, /^cannot link .*: E(EXIST|NOTDIR).*\. Use /)
  assert.ok(stdout.endsWith(`Use ${launcher}\n`))
  assert.ok((await lstat(join(home, '.local'))).isFile())
})
