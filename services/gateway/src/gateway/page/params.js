// Fields for an engine's parameters, made from the JSON Schema that it announces.

import { h, setText } from "./dom.js";
import { strings } from "./language.js";
import { field } from "./ui.js";

const ABBREVIATIONS = { dora: "DoRA", ema: "EMA", snr: "SNR", warmup: "warm-up" };

// A form for one kind of stage, or null if there is nothing to choose. `given` holds what was
// chosen before; value() gives only what differs from the engine's own choice.
export function kindForm(kind, engines, given, quality, onChange = () => {}) {
  const usable = engines.filter((engine) => engine.available);
  const choosable = usable.some((engine) => propertiesOf(engine).length > 0);
  if (usable.length < 2 && !choosable) return null;
  let fields = new Map();
  const pick = h("select", { onchange: () => { build({}); onChange(); } },
    h("option", { value: "" }, strings.engineAny), ...engines.map((engine) => h("option", { value: engine.engine, disabled: !engine.available }, engine.available ? engine.title : `${engine.title}: ${strings.missingWeights}`)));
  pick.value = usable.some((engine) => engine.engine === given?.engine) ? given.engine : "";
  const box = h("div", { className: "fields params" });
  const element = h("details", { className: "kind", open: Object.keys(given?.params ?? {}).length > 0 }, h("summary", {}, strings.stages[kind]?.[0] ?? kind),
    engines.length > 1 && field(strings.facts.engine, pick), box);

  function build(values) {
    const engine = usable.find((one) => one.engine === pick.value) ?? usable.find((one) => one.qualities.includes(quality)) ?? usable[0];
    const presets = engine.presets?.[quality] ?? {};
    fields = new Map(propertiesOf(engine).map(([name, schema]) =>
      [name, paramField(name, schema, presets[name] ?? schema.default, values[name], onChange)]));
    box.replaceChildren(...[...fields.values()].map((one) => one.element));
  }

  build(given?.params ?? {});
  return {
    element,
    valid: () => {
      const fine = [...fields.values()].map((one) => one.check()).every(Boolean);
      if (!fine) element.open = true;
      return fine;
    },
    value: () => ({
      engine: pick.value || null,
      params: Object.fromEntries([...fields].map(([name, one]) => [name, one.value()]).filter(([, value]) => value !== undefined)),
    }),
  };
}

// What may be chosen, with what the schema only refers to; older names of the same are left out.
function propertiesOf({ paramsSchema }) {
  return Object.entries(paramsSchema.properties ?? {}).filter(([, schema]) => !schema.deprecated)
    .map(([name, schema]) => [name, { ...paramsSchema.$defs?.[schema.$ref?.split("/").at(-1)], ...schema }]);
}

// A parameter's name as words.
export function titleOf(name) {
  const words = name.split("_").map((word) => ABBREVIATIONS[word] ?? word).join(" ");
  return words[0].toUpperCase() + words.slice(1);
}

function paramField(name, schema, standard, given, onChange) {
  const shape = { ...(schema.anyOf ?? []).find((one) => one.type !== "null"), ...schema };
  const wrong = h("p", { className: "error", role: "alert" });
  const control = controlFor(shape, standard, given);
  control.addEventListener("change", () => { check(); onChange(); });
  const [low, high] = [shape.minimum ?? shape.exclusiveMinimum, shape.maximum ?? shape.exclusiveMaximum];
  const range = low != null && high != null ? strings.between(low, high) : low != null ? strings.atLeast(low) : high != null ? strings.atMost(high) : "";
  const element = field(titleOf(name), control, [schema.description?.replace(/[^.]$/, "$&."), range].filter(Boolean).join(" "));
  element.append(wrong);

  function check() {
    const text = control.value;
    const problem = control.validity.badInput ? strings.checks.number : text === "" ? "" : mistake(shape, text);
    setText(wrong, problem);
    control.setAttribute("aria-invalid", String(problem !== ""));
    return problem === "";
  }

  function value() {
    if (control.value === "") return undefined;
    if (shape.type === "boolean") return control.value === "true";
    if (shape.type === "integer" || shape.type === "number") return Number(control.value);
    if (shape.enum) return shape.enum.find((one) => String(one) === control.value);
    return control.value;
  }
  return { element, check, value };
}

function controlFor(shape, standard, given) {
  const chosen = given === undefined || given === null ? "" : String(given);
  const choices = shape.type === "boolean" ? [["true", strings.yes], ["false", strings.no]] : shape.enum?.map((one) => [String(one), String(one)]);
  if (choices) {
    const usual = choices.find(([value]) => value === String(standard))?.[1];
    const select = h("select", {}, h("option", { value: "" }, usual ? strings.usual(usual) : strings.engineAny), ...choices.map(([value, label]) => h("option", { value }, label)));
    select.value = chosen;
    return select;
  }
  const numeric = shape.type === "integer" || shape.type === "number";
  return h("input", {
    type: numeric ? "number" : "text", value: chosen, placeholder: standard ?? (numeric ? "auto" : ""), autocomplete: "off",
    step: shape.type === "integer" ? 1 : "any", min: shape.minimum ?? shape.exclusiveMinimum ?? "", max: shape.maximum ?? shape.exclusiveMaximum ?? "",
    inputMode: shape.type === "integer" ? "numeric" : numeric ? "decimal" : "text",
  });
}

function mistake(shape, text) {
  const value = Number(text);
  if (shape.type === "integer" && !Number.isInteger(value)) return strings.checks.integer;
  if (shape.type === "integer" || shape.type === "number") {
    if (value < (shape.minimum ?? -Infinity) || value <= (shape.exclusiveMinimum ?? -Infinity)) return strings.atLeast(shape.minimum ?? shape.exclusiveMinimum);
    if (value > (shape.maximum ?? Infinity) || value >= (shape.exclusiveMaximum ?? Infinity)) return strings.atMost(shape.maximum ?? shape.exclusiveMaximum);
  }
  if (shape.pattern && !new RegExp(shape.pattern, "u").test(text)) return strings.checks.pattern;
  if (shape.maxLength != null && text.length > shape.maxLength) return strings.atMost(shape.maxLength);
  return "";
}
