package audit

import (
	"runtime"
	"sync"
)

// many is from how many rows on it pays to work on several processors.
const many = 2000

// sideBySide has work done for each of n rows, which know nothing of each other.
func sideBySide(n int, work func(i int)) {
	workers := runtime.GOMAXPROCS(0)
	if n < many {
		workers = 1
	}
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := n * w / workers; i < n*(w+1)/workers; i++ {
				work(i)
			}
		})
	}
	wait.Wait()
}
