// The page's language: as the browser prefers, until somebody chooses.

export const LANGUAGES = { en: "English", de: "Deutsch" };

const KEPT = "language";

function preferred() {
  const kept = localStorage.getItem(KEPT);
  const wishes = [kept, ...navigator.languages].filter(Boolean).map((wish) => wish.slice(0, 2));
  return wishes.find((wish) => wish in LANGUAGES) ?? "en";
}

export const language = preferred();
document.documentElement.lang = language;
export const { strings } = await import(`./strings/${language}.js`);

// Everything is written anew: a reload is the simplest way that cannot forget a sentence.
export function speak(wanted) {
  localStorage.setItem(KEPT, wanted);
  location.reload();
}
