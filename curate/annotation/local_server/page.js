// What the annotator's page of Label Studio lacks: it loops clips, plays them on the
// space bar (the second of two with Shift), leaves text boxes on Escape
// and enters them on Tab, lets labels of absence exclude all others,
// and keeps keys from the form while a window lies over it.
(() => {
  const isText = (element) =>
    element && (element.isContentEditable || element.tagName === 'TEXTAREA' ||
      (element.tagName === 'INPUT' && !['radio', 'checkbox', 'range', 'button'].includes(element.type)))
  const annotation = () => window.Htx && window.Htx.annotationStore && window.Htx.annotationStore.selected
  const players = () =>
    [...document.querySelectorAll('[data-testid="playback-button:play"], [data-testid="playback-button:pause"]')]
  const isPlaying = (button) => button.dataset.testid.endsWith('pause')
  const press = (button) => {
    button.click()
    button.blur()
  }

  // While the guideline or another window is open, keys scroll it, walk its buttons and close it, and do nothing else.
  const isControl = (element) => isText(element) || (element.matches && element.matches('input, button, select, [tabindex]'))
  window.addEventListener('keydown', (event) => {
    const modal = document.querySelector('.lsf-modal-ls_visible')
    if (!modal || event.key === 'Escape') return
    const isInside = modal.contains(event.target)
    if (isInside && isText(event.target)) return
    event.stopImmediatePropagation()
    if (!isInside && isControl(event.target) && event.key !== 'Tab') event.preventDefault()
  }, true)

  document.addEventListener('ended', (event) => {
    if (!annotation()) return
    if (event.target.tagName === 'VIDEO') {
      event.target.currentTime = 0
      event.target.play()
    } else if (!document.querySelector('video')) {
      setTimeout(() => players().filter((button) => isPlaying(button) === false).slice(0, 1).forEach(press), 50)
    }
  }, true)

  document.addEventListener('keydown', (event) => {
    const focused = document.activeElement
    if (event.key === 'Escape' && isText(focused)) focused.blur()
    if (event.code !== 'Space' || event.ctrlKey || event.altKey || event.metaKey) return
    if (!annotation() || isText(focused) || focused.matches('input:focus-visible, button:focus-visible')) return
    const [first, second] = players()
    const chosen = event.shiftKey && second ? second : first
    if (!chosen) return
    event.preventDefault()
    event.stopImmediatePropagation()
    players().filter((button) => button !== chosen && isPlaying(button)).forEach(press)
    // At the moment when a clip begins anew, its button may still say the contrary of what the video does.
    const place = players().indexOf(chosen)
    const video = document.querySelectorAll('video')[place]
    const shouldPause = video && (!video.paused || video.ended)
    press(chosen)
    if (video) setTimeout(() => video.paused !== shouldPause && players()[place] && press(players()[place]), 100)
  }, true)

  // Tab goes straight to the first degree or text that is still to be given, and on from text to text.
  document.addEventListener('keydown', (event) => {
    const form = document.querySelector('.lsf-main-view__annotation')
    if (event.key !== 'Tab' || event.shiftKey || !annotation() || !form) return
    const shown = (selector) => [...form.querySelectorAll(selector)].filter((element) => element.offsetParent)
    const texts = shown('.field textarea, .field input[type=number], .field input[type=text]')
    const focused = document.activeElement
    const isHere = texts.includes(focused)
    if (!isHere && focused && focused !== document.body) return
    const degrees = shown('.intensity').filter((row) => !row.querySelector('input:checked'))
    const first = degrees.length ? degrees[0].querySelector('input') : texts.find((element) => !element.value)
    const next = isHere ? texts[texts.indexOf(focused) + 1] : first
    if (!next && !isHere) return
    event.preventDefault()
    if (next) next.focus()
    else focused.blur()
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
  // A stretch that was just drawn is selected, so that the box for its value is there at once.
  const selectNew = () => {
    const settings = window.Htx && window.Htx.settings
    if (settings && settings.selectAfterCreate === false) settings.toggleSelectAfterCreate()
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
  setInterval(() => {
    selectNew()
    exclude()
  }, 500)
})()
