/**
 * Text that can't move a terminal's cursor, change its colours or hide behind other text: control characters and marks
 * that reverse the direction of writing become `\u{…}`.
 */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
