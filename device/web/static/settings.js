// Search in the list of settings.

export function filterSettings() {
  const field = document.getElementById("settings-search");
  const count = document.getElementById("settings-count");
  if (!field) return;
  const settings = [...document.querySelectorAll(".setting")];
  field.addEventListener("input", () => {
    const words = field.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    for (const setting of settings) {
      const text = setting.textContent.toLocaleLowerCase();
      setting.hidden = !words.every((word) => text.includes(word));
    }
    for (const group of document.querySelectorAll(".settings-group")) {
      group.hidden = ![...group.querySelectorAll(".setting")].some((setting) => !setting.hidden);
    }
    const found = settings.filter((setting) => !setting.hidden).length;
    count.textContent = found === 1 ? "1 setting" : `${found} settings`;
  });
}
