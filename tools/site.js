/* search of the site that tools/docs.py builds: the index is fetched when the field is first used; works from a folder, too */
(() => {
  const box = document.getElementById('search'), list = document.getElementById('found'), up = box.dataset.up;
  let index = null, chosen = -1;
  const plain = s => s.toLowerCase().normalize('NFD').replace(/[\u0300-\u036f]/g, '');
  const load = () => {
    if (index) return;
    index = [];
    const s = document.createElement('script');
    s.src = up + 'search_index.js';
    s.onload = () => { index = SEARCH.map(o => ({page: o[0], head: o[1], to: o[2], text: o[3], p: plain(o[0]), h: plain(o[1]), t: plain(o[3])})); show(); };
    document.head.append(s);
  };
  const times = (text, w) => { let n = 0; for (let i = text.indexOf(w); i >= 0 && n < 4; i = text.indexOf(w, i + w.length)) n++; return n; };
  const score = (o, words) => { // 0 if a word is missing
    let sum = 0;
    for (const w of words) {
      const here = 12*(o.h === w) + 6*new RegExp('\\b' + w.replace(/[^\p{L}\p{N}]/gu, '\\$&'), 'u').test(o.h) + 3*o.h.includes(w) + 4*o.p.includes(w) + times(o.t, w);
      if (!here) return 0;
      sum += here;
    }
    return sum;
  };
  const part = (o, words) => { // the text around the first word, the words marked
    const first = Math.min(...words.map(w => o.t.indexOf(w)).filter(i => i >= 0)), out = document.createElement('small');
    const from = Math.max(0, (first < Infinity ? first : 0) - 50), text = (from ? '… ' : '') + o.text.slice(from, from + 150);
    const low = plain(text), same = low.length === text.length;
    let at = 0;
    while (at < text.length) {
      const hits = same ? words.map(w => [low.indexOf(w, at), w.length]).filter(h => h[0] >= 0).sort((a, b) => a[0] - b[0] || b[1] - a[1]) : [];
      if (!hits.length) break;
      out.append(text.slice(at, hits[0][0]));
      const m = document.createElement('mark'); m.textContent = text.substr(hits[0][0], hits[0][1]); out.append(m);
      at = hits[0][0] + hits[0][1];
    }
    out.append(text.slice(at));
    return out;
  };
  const show = () => {
    const words = plain(box.value).split(/\s+/).filter(w => w.length > 1);
    list.replaceChildren(); chosen = -1; list.hidden = !words.length;
    if (!words.length || !index) return;
    const found = index.map(o => [score(o, words), o]).filter(o => o[0]).sort((a, b) => b[0] - a[0]).slice(0, 12);
    for (const [, o] of found) {
      const a = document.createElement('a'), b = document.createElement('b');
      a.href = up + o.to; b.textContent = o.head === o.page ? o.page : o.page + ' › ' + o.head;
      a.append(b, part(o, words)); list.append(a);
    }
    if (!found.length && index.length) list.append(Object.assign(document.createElement('p'), {textContent: 'Nothing found; fewer or shorter words find more.'}));
  };
  box.addEventListener('focus', load);
  box.addEventListener('input', () => { load(); show(); });
  box.addEventListener('keydown', e => {
    const all = list.querySelectorAll('a');
    if (e.key === 'Escape') { box.value = ''; show(); box.blur(); }
    else if (e.key === 'Enter' && all.length) { e.preventDefault(); all[Math.max(chosen, 0)].click(); }
    else if ((e.key === 'ArrowDown' || e.key === 'ArrowUp') && all.length) {
      e.preventDefault(); chosen = Math.min(Math.max(chosen + (e.key === 'ArrowDown' ? 1 : -1), 0), all.length - 1);
      all.forEach((a, i) => a.classList.toggle('here', i === chosen)); all[chosen].scrollIntoView({block: 'nearest'});
    }
  });
  list.addEventListener('click', () => { list.hidden = true; });
  document.addEventListener('click', e => { if (!e.target.closest('.search')) list.hidden = true; });
  document.addEventListener('keydown', e => { if (e.key === '/' && !/^(input|textarea|select)$/i.test(e.target.tagName)) { e.preventDefault(); box.focus(); } });
  const here = document.querySelector('nav.pages .here'); // its place in the list of pages, not of the document
  if (here) { const nav = here.closest('nav'); nav.scrollTop = here.offsetTop - nav.clientHeight/2; }
})();
