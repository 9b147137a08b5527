// Roles, weakest first. Those from newcomer to member differ by limits, not by what they may see.

export const roles = ['public', 'newcomer', 'contributor', 'member', 'admin'] as const
export type Role = (typeof roles)[number]
