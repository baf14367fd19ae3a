// What the annotator's page of Label Studio lacks: it loops clips, plays on the space bar, leaves text boxes on Escape,
// and lets labels of absence exclude all others.
(() => {
  const isText = (element) =>
    element && (element.isContentEditable || element.tagName === 'TEXTAREA' ||
      (element.tagName === 'INPUT' && !['radio', 'checkbox', 'range', 'button'].includes(element.type)))
  const annotation = () => window.Htx && window.Htx.annotationStore && window.Htx.annotationStore.selected

  document.addEventListener('ended', (event) => {
    if (!annotation() || event.target.tagName !== 'VIDEO') return
    event.target.currentTime = 0
    event.target.play()
  }, true)

  document.addEventListener('keydown', (event) => {
    const focused = document.activeElement
    if (event.key === 'Escape' && isText(focused)) focused.blur()
    if (event.code !== 'Space' || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return
    if (!annotation() || isText(focused) || focused.matches('input:focus-visible, button:focus-visible')) return
    const play = document.querySelector('[data-testid="playback-button:play"], [data-testid="playback-button:pause"]')
    if (!play) return
    event.preventDefault()
    event.stopImmediatePropagation()
    play.click()
    play.blur()
  }, true)

  const aloneLabels = () => {
    const config = new DOMParser().parseFromString(window.Htx.config || '', 'text/xml')
    const labels = {}
    for (const choice of config.querySelectorAll('Choice[alone="true"]')) {
      const name = choice.closest('Choices').getAttribute('name')
      labels[name] = [...(labels[name] || []), choice.getAttribute('value')]
    }
    return labels
  }
  let seen = new Map()
  const exclude = () => {
    const current = annotation()
    if (!current) return
    const labels = aloneLabels()
    for (const [name, alone] of Object.entries(labels)) {
      const control = current.names.get(name)
      if (!control || !control.tiedChildren) continue
      const key = `${current.id} ${name}`
      const chosen = control.tiedChildren.filter((choice) => choice.sel)
      const before = seen.get(key) || []
      const isAlone = (choice) => alone.includes(choice._value || choice.value)
      if (chosen.length > 1 && chosen.some(isAlone)) {
        const added = chosen.filter((choice) => !before.includes(choice._value || choice.value))
        const keep = added.some(isAlone) ? added.filter(isAlone).slice(0, 1) : chosen.filter((choice) => !isAlone(choice))
        for (const choice of chosen) if (!keep.includes(choice)) choice.setSelected(false)
        control.updateResult()
      }
      const left = control.tiedChildren.filter((choice) => choice.sel)
      seen.set(key, left.map((choice) => choice._value || choice.value))
    }
  }
  for (const kind of ['click', 'keydown']) document.addEventListener(kind, () => setTimeout(exclude, 0), true)
  setInterval(exclude, 500)
})()
