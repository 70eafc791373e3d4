/**
 * An alert as bytes with three gaps: time, number, and how many were suppressed. Most alerts of a flood differ in nothing
 * else, and copying bytes costs a tenth of building them.
 *
 * The bytes are cut from the JSON of `buildAlert`, so there is one description of what an alert looks like.
 */
import type { Alert } from "./alert.ts";
import { type JsonRecord, writeDigits, writeNumber } from "./json_record.ts";
import type { RecordFacets } from "./pipeline.ts";

const encoder = new TextEncoder();
const SUPPRESSED = encoder.encode(`,"Suppressed":`);
/** Time and numbers, at their longest. */
const GAPS_BYTES_MAX = 160;
/** Quotes in what users chose are escaped, so no value reads like this. */
const NUMBER_MARK = `"Ankylo":{"Seq":`;
const NUMBERS = /\d+(,"Suppressed":\d+)?/y;

/** One alert around its gaps. */
export class AlertTemplate {
  readonly facets: RecordFacets;
  /** From behind the time to the number. */
  readonly middle: Piece;
  /** From behind number and suppressed to the end. */
  readonly end: Piece;

  constructor(alert: Alert, facets: RecordFacets) {
    const json = JSON.stringify(alert);
    const timeEnd = json.indexOf(TIME_END) + TIME_END.length;
    const number = json.lastIndexOf(NUMBER_MARK) + NUMBER_MARK.length;
    NUMBERS.lastIndex = number;
    NUMBERS.test(json);
    this.facets = facets;
    this.middle = new Piece(json.slice(timeEnd, number));
    this.end = new Piece(json.slice(NUMBERS.lastIndex));
  }
}

/** A text that becomes bytes at its second use: most alerts have none, and bytes of their own cost as much as the text did. */
class Piece {
  readonly #text: string;
  #bytes: Uint8Array | undefined;
  #uses = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get bytesMax(): number {
    return this.#bytes?.length ?? 3 * this.#text.length;
  }

  /** Returns where it ends. */
  writeTo(into: Uint8Array, at: number): number {
    if (this.#bytes === undefined && this.#uses++ === 0) {
      return at + encoder.encodeInto(this.#text, into.subarray(at)).written;
    }
    const bytes = this.#bytes ??= encoder.encode(this.#text);
    into.set(bytes, at);
    return at + bytes.length;
  }
}

/** One alert: a template with its gaps filled. One object is used for many alerts in turn. */
export class FilledAlert implements JsonRecord {
  readonly #clock = new ClockText();
  #template!: AlertTemplate;
  #micros = 0;
  #seq = 0;
  #suppressed = 0;

  /** `micros`: since the Unix epoch. */
  fill(template: AlertTemplate, micros: number, seq: number, suppressed: number): this {
    this.#template = template;
    this.#micros = micros;
    this.#seq = seq;
    this.#suppressed = suppressed;
    return this;
  }

  get bytesMax(): number {
    return this.#template.middle.bytesMax + this.#template.end.bytesMax + GAPS_BYTES_MAX;
  }

  writeTo(into: Uint8Array, at: number): number {
    const { middle, end } = this.#template;
    let next = this.#clock.writeTo(into, at, this.#micros);
    next = writeNumber(into, middle.writeTo(into, next), this.#seq);
    if (this.#suppressed > 0) {
      into.set(SUPPRESSED, next);
      next = writeNumber(into, next + SUPPRESSED.length, this.#suppressed);
    }
    return end.writeTo(into, next);
  }
}

const MICROS_PER_SECOND = 1_000_000;
const TIME_END = `Z"`;
const TIME_END_BYTES = encoder.encode(TIME_END);

/** `{"Timestamp":…,"UpdatedTime":"…Z"`: events come thousands to a second, so the second's text is kept. */
class ClockText {
  #second = -1;
  #text = new Uint8Array();

  writeTo(into: Uint8Array, at: number, micros: number): number {
    const second = Math.floor(micros / MICROS_PER_SECOND);
    if (second !== this.#second) this.#setSecond(second);
    into.set(this.#text, at);
    const next = writeDigits(into, at + this.#text.length, micros - second * MICROS_PER_SECOND, 6);
    into.set(TIME_END_BYTES, next);
    return next + TIME_END_BYTES.length;
  }

  #setSecond(second: number): void {
    const text = new Date(second * 1000).toISOString().slice(0, -"000Z".length);
    this.#text = encoder.encode(`{"Timestamp":${second},"UpdatedTime":"${text}`);
    this.#second = second;
  }
}
