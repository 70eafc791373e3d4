/** @see https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
export const GrpcStatus = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(GrpcStatus).map(([name, code]) => [code, name]),
);

/** A call that did not end with OK. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  /** One of `GrpcStatus`, or a number that this version does not know. */
  readonly code: number;
  /** The server's own words, or ours where it gave none. */
  readonly text: string;

  /** `subject` is the method, or the socket that could not be opened. */
  constructor(code: number, text: string, subject = "", options?: ErrorOptions) {
    super(
      [subject, NAMES.get(code) ?? `status ${code}`, text].filter((part) => part !== "").join(": "),
      options,
    );
    this.code = code;
    this.text = text;
  }
}

type Headers = Readonly<Record<string, string | string[] | number | undefined>>;

export interface Status {
  readonly code: number;
  readonly text: string;
  /** False: the server gave no status, and `code` and `text` say what that means. */
  readonly said: boolean;
}

/** A call's status from its HTTP headers and trailers. A call without messages has its status in the headers. */
export function statusOf(headers: Headers, trailers: Headers): Status {
  const found = trailers["grpc-status"] !== undefined ? trailers : headers;
  const code = Number(found["grpc-status"] ?? NaN);
  if (Number.isInteger(code)) {
    return { code, text: unescape(String(found["grpc-message"] ?? "")), said: true };
  }
  const httpStatus = headers[":status"];
  if (httpStatus !== undefined && Number(httpStatus) !== 200) {
    const text = `the socket's server does not speak gRPC: HTTP status ${httpStatus}`;
    return { code: GrpcStatus.UNKNOWN, text, said: true };
  }
  return { code: GrpcStatus.UNAVAILABLE, text: "stream ended without a status", said: false };
}

/** Undoes gRPC's percent-encoding; text that is not properly encoded stays as it is. */
function unescape(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
