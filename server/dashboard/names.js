// What people call object types, properties and their options, once that is known; until then, their internal names.
import { value as plain, words } from "./format.js";

const COLOURS = 8;
let types = new Map();
const colours = new Map();

const named = ({ label, options }) => ({ label, options: new Map(options.map((one) => [one.value, one.label])) });

/** Keep what `objectTypes` told. */
export function keep(told) {
  types = new Map(
    told.map(({ name, singular, plural, properties }) => [
      name,
      { singular, plural, properties: new Map(properties.map((one) => [one.name, named(one)])) },
    ]),
  );
}

export const singular = (type) => types.get(type)?.singular ?? words(type);
export const plural = (type) => types.get(type)?.plural ?? words(type);
export const property = (type, name) => types.get(type)?.properties.get(name)?.label ?? words(name);
/** A property's value as people read it. */
export function value(type, name, given) {
  const options = types.get(type)?.properties.get(name)?.options;
  return Array.isArray(given) ? given.map((one) => value(type, name, one)).join(", ") : (options?.get(given) ?? plain(given));
}

/** The class of a type's colour: the first eight that are shown have one each, and keep it. */
export function colour(type) {
  if (!colours.has(type)) colours.set(type, colours.size % COLOURS);
  return `c${colours.get(type)}`;
}
