/** What the files of the HTTP settings hold, checked before anything else begins. */

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { HttpFiles } from "./config.ts";
import { ConfigError } from "./load.ts";

/** How the TCP address proves itself, and what it asks of clients. */
export interface HttpCredentials {
  /** What clients must send as bearer token. */
  readonly token?: string;
  readonly tls?: TlsCredentials;
}

/** PEM texts. */
export interface TlsCredentials {
  readonly certificate: string;
  readonly key: string;
  /** Clients must have a certificate from one of these. */
  readonly clientCa?: string;
}

/** Longer than anyone guesses, shorter than a request's headers may be. */
const TOKEN_LENGTH_MIN = 16;
const TOKEN_LENGTH_MAX = 4_096;
const FILE_BYTES_MAX = 1 << 20;

/**
 * Reads and checks the files.
 * @throws {ConfigError} one can't be read, or does not hold what it should
 */
export async function readCredentials(files: HttpFiles): Promise<HttpCredentials> {
  const token = files.tokenFile === undefined
    ? undefined
    : checkToken(files.tokenFile, await read("http.tokenFile", files.tokenFile));
  const { certificate, key, clientCa } = files;
  if (certificate === undefined || key === undefined) return token === undefined ? {} : { token };
  const tls = {
    certificate: checkCertificate(
      "http.certificate",
      certificate,
      await read("http.certificate", certificate),
    ),
    key: await read("http.key", key),
    ...(clientCa !== undefined && {
      clientCa: checkCertificate("http.clientCa", clientCa, await read("http.clientCa", clientCa)),
    }),
  };
  checkKey(tls, key);
  return { ...(token !== undefined && { token }), tls };
}

async function read(setting: string, path: string): Promise<string> {
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) throw new TypeError("it is not a file");
    if (size > FILE_BYTES_MAX) throw new RangeError(`it is larger than ${FILE_BYTES_MAX} bytes`);
    return await Deno.readTextFile(path);
  } catch (error) {
    throw problem(path, `Cannot read ${setting}: ${(error as Error).message}`);
  }
}

function checkToken(path: string, text: string): string {
  const token = text.trim();
  if (!/^[\x21-\x7e]*$/.test(token)) {
    const message =
      "Cannot use http.tokenFile: the token must be one word of visible ASCII characters";
    throw problem(path, message, HINT);
  }
  if (token.length >= TOKEN_LENGTH_MIN && token.length <= TOKEN_LENGTH_MAX) return token;
  const bounds = `${TOKEN_LENGTH_MIN} to ${TOKEN_LENGTH_MAX} characters`;
  throw problem(
    path,
    `Cannot use http.tokenFile: the token must have ${bounds}, it has ${token.length}`,
    HINT,
  );
}

const HINT = "make one with: openssl rand -hex 32";

function checkCertificate(setting: string, path: string, pem: string): string {
  try {
    new X509Certificate(pem);
    return pem;
  } catch {
    // The library's words for it ("nom error: Eof") help nobody.
    throw problem(path, `Cannot use ${setting}: the file holds no PEM certificate`);
  }
}

function checkKey({ certificate, key }: TlsCredentials, path: string): void {
  let fits: boolean;
  try {
    fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    // As above: "DECODER routines::unsupported".
    throw problem(path, "Cannot use http.key: the file holds no PEM private key");
  }
  if (!fits) throw problem(path, "Cannot use http.key: it is not the key of http.certificate");
}

function problem(where: string, message: string, hint?: string): ConfigError {
  return new ConfigError([{ where, message, ...(hint !== undefined && { hint }) }]);
}
