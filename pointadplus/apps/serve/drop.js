// A file that is dropped, or chosen, goes to the service; its report takes this page's place.

const element = (id) => document.getElementById(id);
let waiting = false;

async function send(file) {
  if (!file || waiting) return;
  waiting = true;
  element("state").textContent = `${file.name}: at work…`;
  element("drop").setAttribute("aria-busy", "true");
  const query = new URLSearchParams({ name: file.name, compare: document.querySelector("[name=way]:checked").value });
  try {
    const answer = await fetch(`report?${query}`, { method: "POST", body: file });
    if (!answer.ok) throw new Error((await answer.json()).error);
    element("state").textContent = "";
    location.assign(URL.createObjectURL(await answer.blob()));
  } catch (error) {
    element("state").textContent = `${file.name}: ${error.message}`;
  }
  waiting = false;
  element("drop").removeAttribute("aria-busy");
}

for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", over);
    if (name === "drop") send(event.dataTransfer.files[0]);
  });
}
element("file").addEventListener("change", (event) => send(event.target.files[0]));
