// What people call object types and properties, once that is known; until then, their internal names as words.
import { words } from "./format.js";

const COLOURS = 8;
let types = new Map();
const colours = new Map();

/** Keep what `objectTypes` told. */
export function keep(told) {
  types = new Map(
    told.map(({ name, singular, plural, properties }) => [
      name,
      { singular, plural, properties: new Map(properties.map((one) => [one.name, one.label])) },
    ]),
  );
}

export const singular = (type) => types.get(type)?.singular ?? words(type);
export const plural = (type) => types.get(type)?.plural ?? words(type);
export const property = (type, name) => types.get(type)?.properties.get(name) ?? words(name);

/** The class of a type's colour: the first eight that are shown have one each, and keep it. */
export function colour(type) {
  if (!colours.has(type)) colours.set(type, colours.size % COLOURS);
  return `c${colours.get(type)}`;
}
