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

/** The bytes of one alert around its gaps. */
export class AlertTemplate {
  readonly facets: RecordFacets;
  /** From behind the time to the number. */
  readonly middle: Uint8Array;
  /** From behind number and suppressed to the end. */
  readonly end: Uint8Array;

  constructor(alert: Alert, facets: RecordFacets) {
    const { Timestamp: _, UpdatedTime: __, Ankylo, ...rest } = alert;
    const { Seq: ___, Suppressed: ____, ...ankylo } = Ankylo;
    this.facets = facets;
    // An object's JSON without its braces; both have at least one field.
    const inner = (value: unknown) => JSON.stringify(value).slice(1, -1);
    this.middle = encoder.encode(`,${inner(rest)},"Ankylo":{"Seq":`);
    this.end = encoder.encode(`,${inner(ankylo)}}}`);
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
    return this.#template.middle.length + this.#template.end.length + GAPS_BYTES_MAX;
  }

  writeTo(into: Uint8Array, at: number): number {
    const { middle, end } = this.#template;
    let next = this.#clock.writeTo(into, at, this.#micros);
    into.set(middle, next);
    next = writeNumber(into, next + middle.length, this.#seq);
    if (this.#suppressed > 0) {
      into.set(SUPPRESSED, next);
      next = writeNumber(into, next + SUPPRESSED.length, this.#suppressed);
    }
    into.set(end, next);
    return next + end.length;
  }
}

const MICROS_PER_SECOND = 1_000_000;
const TIME_END = encoder.encode(`Z"`);

/** `{"Timestamp":…,"UpdatedTime":"…Z"`: events come thousands to a second, so the second's text is kept. */
class ClockText {
  #second = -1;
  #text = new Uint8Array();

  writeTo(into: Uint8Array, at: number, micros: number): number {
    const second = Math.floor(micros / MICROS_PER_SECOND);
    if (second !== this.#second) this.#setSecond(second);
    into.set(this.#text, at);
    const next = writeDigits(into, at + this.#text.length, micros - second * MICROS_PER_SECOND, 6);
    into.set(TIME_END, next);
    return next + TIME_END.length;
  }

  #setSecond(second: number): void {
    const text = new Date(second * 1000).toISOString().slice(0, -"000Z".length);
    this.#text = encoder.encode(`{"Timestamp":${second},"UpdatedTime":"${text}`);
    this.#second = second;
  }
}
