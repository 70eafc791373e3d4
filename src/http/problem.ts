/** Errors as `application/problem+json`. @see RFC 9457 */

export interface Problem {
  readonly status: number;
  readonly title: string;
  /** What was found against what is wanted, for people. */
  readonly detail?: string;
  /** What to do. */
  readonly hint?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** More members for machines. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** Thrown by a route to answer with a problem. */
export class ProblemError extends Error {
  override name = "ProblemError";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
}

export function problemResponse(problem: Problem): Response {
  const { status, title, detail, hint, headers, members } = problem;
  const body = { type: "about:blank", title, status, detail, hint, ...members };
  return new Response(JSON.stringify(body) + "\n", {
    status,
    headers: { ...headers, "content-type": "application/problem+json" },
  });
}
