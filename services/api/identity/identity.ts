import type { ExplanationStep } from '@teleclaude/core/api.ts'
import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'

/** Who the kernel's facts of a peer stand for, in one of the two modes. */
export type Identity = {
  /** Why this peer is not served at all, or null where it is. */
  refuse(peer: PeerCredentials): string | null
  /** Without I/O, but for an account that was not looked up lately. @throws ProblemError where accounts can't be looked up */
  resolve(peer: PeerCredentials): Caller
  /** Whether the configuration names the uid, or its account, without asking anybody who that is. */
  isNamed(uid: number): boolean
  /** Who a person, or an account of this machine, would be at their next login; null where there is neither. */
  imagine(name: string): Caller | null
  /** The uid's account as it is now and would be at its next login, and whether it is another than the uid was bound to. */
  imagineUid(uid: number): { readonly caller: Caller; readonly isStranger: boolean }
  /** The steps between the kernel's facts and the rule. */
  explainAccount(caller: Caller): readonly ExplanationStep[]
}
