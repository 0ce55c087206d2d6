// Displayed by `show_controls`: keys, clicks and redrawing of the explorers on one page.
(() => {
  const OURS = 'explorer';  // `bundle` writes it into the figure
  const figures = node => [
    ...(node.matches?.('.js-plotly-plot') ? [node] : []),
    ...(node.querySelectorAll?.('.js-plotly-plot') || []),
  ].filter(plot => plot.layout?.meta?.dsel === OURS);

  // JupyterLab takes arrows and letters as commands, unless the element with the focus refuses.
  const keys = event => {
    if (!event.target.closest?.('.dsel-controls')) return;
    const runs = event.key === 'Enter' && (event.shiftKey || event.ctrlKey || event.altKey);
    event.target.toggleAttribute('data-lm-suppress-shortcuts', !runs);
  };

  // A click on a point sets the hidden number of its explorer, which the kernel watches.
  const listen = plot => {
    if (plot.dselPicks || !plot.on) return;
    plot.dselPicks = true;
    plot.on('plotly_click', event => {
      const number = [event.points[0].customdata].flat()[0];
      const area = plot.closest('.jp-OutputArea') || document;
      const input = area.querySelector('.dsel-picks input');
      if (!input || typeof number !== 'number') return;
      input.value = number;
      input.dispatchEvent(new Event('change', {bubbles: true}));
    });
  };

  // While a figure is replaced, a picture of the old one stands in its place: nothing jumps.
  const stand_in = (plot, area, above) => {
    if (!area.matches?.('.jp-OutputArea') || area.dselGhost) return;
    const ghost = document.createElement('div');
    const top = above?.offsetTop + above?.offsetHeight || 0;
    const pictures = [...plot.querySelectorAll('.main-svg')].map(svg => svg.cloneNode(true));
    ghost.append(...pictures);
    ghost.setAttribute('aria-hidden', 'true');
    ghost.style.cssText = `position:absolute;right:0;left:0;top:${top}px;pointer-events:none`;
    const height = Number(pictures[0]?.getAttribute('height')) || 0;
    const before = area.style.cssText;
    area.style.cssText += `;position:relative;min-height:${top + height}px`;
    area.append(ghost);
    area.dselGhost = ghost;
    const since = Date.now();
    const wait = setInterval(() => {
      const there = figures(area).some(drawn => drawn.querySelector('.main-svg .cartesianlayer'));
      if (!there && Date.now() < since + 3000) return;
      clearInterval(wait);
      ghost.remove();
      delete area.dselGhost;
      area.style.cssText = before;
    }, 20);
  };

  const changed = records => {
    for (const {removedNodes, target, previousSibling} of records)
      for (const node of removedNodes)
        figures(node).forEach(plot => stand_in(plot, target, previousSibling));
    figures(document).forEach(listen);
  };

  window.dselPage?.();  // an older copy of this script stops
  const observer = new MutationObserver(changed);
  observer.observe(document.body, {childList: true, subtree: true});
  window.addEventListener('keydown', keys, true);
  window.dselPage = () => {
    observer.disconnect();
    window.removeEventListener('keydown', keys, true);
  };
  changed([]);
})();
