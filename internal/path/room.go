package path

// room is where the short lists of ways are kept that one walk needs: of
// classes so many are followed that taking each list from the heap is most of
// the work. Of a packet alone there is none.
type room struct {
	states  []state
	results []result
}

const roomSize = 1024

// list is an empty list with room for n ways.
func (k *walker) list(n int) []state {
	if k.room == nil {
		return make([]state, 0, n)
	}
	at := len(k.room.states)
	if at+n > cap(k.room.states) {
		k.room.states, at = make([]state, 0, max(roomSize, n)), 0
	}
	k.room.states = k.room.states[:at+n]
	return k.room.states[at : at : at+n]
}

// one is a list of one way.
func (k *walker) one(s state) []state { return append(k.list(1), s) }

// result is a list of one result.
func (k *walker) result(w result) []result {
	if k.room == nil {
		return []result{w}
	}
	at := len(k.room.results)
	if at == cap(k.room.results) {
		k.room.results, at = make([]result, 0, roomSize), 0
	}
	k.room.results = append(k.room.results, w)
	return k.room.results[at : at+1 : at+1]
}

func (r *room) empty() { r.states, r.results = r.states[:0], r.results[:0] }
